"""What things are: alerts, lanes, citizens, deliveries, decisions. Imports no engine."""
