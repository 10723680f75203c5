// Command hello is what the tests of BuildBinary build.
package main

import "fmt"

func main() { fmt.Println("hello") }
