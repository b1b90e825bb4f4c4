// Uses memory for some time, with those options of the program `stress` that containerd's suite passes.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

const page = 4096

func main() {
	flag.Int("m", 1, "processes; one is enough")
	size := flag.String("vm-bytes", "100M", "the bytes of memory")
	flag.Int("vm-hang", 0, "the pause before the memory is freed; it is kept to the end")
	seconds := flag.Int("t", 30, "the time until the end in seconds")
	flag.Parse()
	var megabytes int
	if _, err := fmt.Sscanf(*size, "%dM", &megabytes); err != nil {
		fmt.Fprintf(os.Stderr, "--vm-bytes %s: not a number of megabytes\n", *size)
		os.Exit(1)
	}
	memory := make([]byte, megabytes<<20)
	for at := 0; at < len(memory); at += page {
		memory[at] = 1
	}
	time.Sleep(time.Duration(*seconds) * time.Second)
	fmt.Println(memory[0])
}
