"""Commands: what can be asked of a manager, who may, and what they get to see."""
