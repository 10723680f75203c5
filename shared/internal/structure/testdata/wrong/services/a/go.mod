module github.com/everup/everup/services/a

go 1.26.0
