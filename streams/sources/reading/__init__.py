"""What all sources read with: envelopes, fields, dialects, event logs."""
