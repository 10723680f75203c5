module github.com/everup/everup/services/storaged

go 1.26.0

require (
	github.com/everup/everup/shared v0.0.0
	github.com/google/btree v1.1.3
	github.com/google/go-cmp v0.7.0
	golang.org/x/sys v0.49.0
)

replace github.com/everup/everup/shared => ../../shared
