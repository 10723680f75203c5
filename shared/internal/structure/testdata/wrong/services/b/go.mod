module github.com/everup/everup/services/b

go 1.25.0
