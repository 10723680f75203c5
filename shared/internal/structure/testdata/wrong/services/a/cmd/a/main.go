// Command a ends the process.
package main

import "os"

func main() { os.Exit(1) }
