module github.com/everup/everup/services/cached

go 1.26.0

require github.com/everup/everup/shared v0.0.0

require (
	github.com/google/go-cmp v0.7.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/everup/everup/shared => ../../shared
