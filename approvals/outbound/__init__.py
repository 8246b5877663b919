"""What leaves the house: events, and their deliveries to people, webhooks and the systems that opened decisions."""
