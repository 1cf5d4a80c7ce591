"""The passes from a project to a plan, in order, one file each."""
