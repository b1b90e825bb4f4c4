// Checks metrics in Prometheus' text format on standard input by the rules of `promtool check metrics`, which uses the same
// linter. Prints one line for each problem. The exit code is 0 if there is none, 1 if there are some, and 2 if the input is not
// in that format.
package main

import (
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func main() {
	problems, err := promlint.New(os.Stdin).Lint()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, problem := range problems {
		fmt.Printf("%s: %s\n", problem.Metric, problem.Text)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}
