"""How exposed the machine is to what runs in a sandbox: facts, assessments of them, and a sum."""
