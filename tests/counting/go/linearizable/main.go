// Judges a history of visits with porcupine: could a counter that makes one visit after the other have given these numbers?
//
//	linearizable [-plain] [-limit DURATION] FILE
//
// The file has a line of JSON for each visit: {"client":0,"call":1500,"return":2300,"number":1}. Times are nanoseconds.
// "return" is null if the visit got no answer, "number" is null if it got none or was refused.
//
// The exit code is 0 if the history is linearizable, 1 if it is not, and 2 if the file is no history or the time is over.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

// The exit codes. flag uses 2 as well.
const (
	notLinearizable = 1
	noVerdict       = 2
)

func main() {
	plain := flag.Bool("plain", false, "neither fill gaps nor cut the history, for short histories")
	limit := flag.Duration("limit", 2*time.Minute, "how long the search may take")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(noVerdict)
	}
	visits, err := read(flag.Arg(0))
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", flag.Arg(0), err)
		os.Exit(noVerdict)
	}
	parts := [][]visit{visits}
	filled := 0
	if !*plain {
		visits, filled = fill(visits)
		parts = cut(visits)
	}
	deadline := time.Now().Add(*limit)
	for _, part := range parts {
		var impossible *impossible
		err := judge(part, time.Until(deadline))
		if errors.As(err, &impossible) {
			fmt.Printf("not linearizable: %v\n", err)
			os.Exit(notLinearizable)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(noVerdict)
		}
	}
	fmt.Printf("linearizable: %d visits, %d of them without an answer have the numbers that nobody else has\n", len(visits), filled)
}
