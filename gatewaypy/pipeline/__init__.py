"""How a request becomes a result: slot, token, attempts, and inquiries after a doubt."""
