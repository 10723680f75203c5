module github.com/everup/everup/deploy

go 1.26.0

require (
	github.com/everup/everup/shared v0.0.0
	github.com/google/go-cmp v0.7.0
)

require (
	github.com/bradfitz/gomemcache v0.0.0-20260422231931-4d751bb6e37c
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/everup/everup/shared => ../shared
