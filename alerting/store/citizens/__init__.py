"""The directory of citizens: addresses, places, rosters, and who said stop."""
