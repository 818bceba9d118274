"""How a request becomes a result: tokens, slots, one attempt or several, and inquiries about doubts."""
