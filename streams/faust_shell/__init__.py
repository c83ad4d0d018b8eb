"""The Faust shell: what hosts the loops on Kafka, and all that knows Faust."""
