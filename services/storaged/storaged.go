package storaged
