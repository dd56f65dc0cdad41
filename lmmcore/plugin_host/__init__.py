"""What the core uses to find plugins and to check what they return; authors import `lmmcore.extension`."""
