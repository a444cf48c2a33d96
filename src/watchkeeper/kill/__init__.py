"""The kill switch: locks in force, the epoch they raise, and the receipts of their effects."""
