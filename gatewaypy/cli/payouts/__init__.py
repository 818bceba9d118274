"""The commands of a payout job."""
