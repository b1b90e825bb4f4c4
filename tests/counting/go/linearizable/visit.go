package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
)

// When a visit returns that got no answer: it may take effect at any time after its call.
const never = math.MaxInt64

// A visit, or several that are judged elsewhere.
type visit struct {
	client int
	// How many visits this is.
	count int64
	call  int64
	end   int64
	// The number after it, 0 if that is not known.
	number int64
}

// A line of the file.
type line struct {
	Client *int   `json:"client"`
	Call   *int64 `json:"call"`
	Return *int64 `json:"return"`
	Number *int64 `json:"number"`
}

// Returns the visits of a file, in its order.
func read(path string) ([]visit, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var visits []visit
	scanner := bufio.NewScanner(file)
	for number := 1; scanner.Scan(); number++ {
		one, err := parse(scanner.Text())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		visits = append(visits, one)
	}
	return visits, scanner.Err()
}

// Returns the visit of a line. A refused visit is one without an answer: a disk that fails may have counted it.
func parse(text string) (visit, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var line line
	if err := decoder.Decode(&line); err != nil {
		return visit{}, err
	}
	switch {
	case line.Client == nil || *line.Client < 0:
		return visit{}, errors.New("client is missing or negative")
	case line.Call == nil || *line.Call < 0:
		return visit{}, errors.New("call is missing or negative")
	case line.Return != nil && *line.Return < *line.Call:
		return visit{}, errors.New("it returned before its call")
	case line.Number == nil:
		return visit{client: *line.Client, count: 1, call: *line.Call, end: never}, nil
	case *line.Number < 1:
		return visit{}, errors.New("number is less than 1")
	case line.Return == nil:
		return visit{}, errors.New("it has a number and did not return")
	}
	return visit{client: *line.Client, count: 1, call: *line.Call, end: *line.Return, number: *line.Number}, nil
}

func (one visit) String() string {
	text := fmt.Sprintf("client %d called at %.3f ms", one.client, milliseconds(one.call))
	if one.end == never {
		text += " and got no answer"
	} else {
		text += fmt.Sprintf(" and returned at %.3f ms", milliseconds(one.end))
	}
	switch {
	case one.count > 1:
		return fmt.Sprintf("%d visits before, the last of which was called at %.3f ms: number %d", one.count, milliseconds(one.call), one.number)
	case one.number == 0:
		return text
	case one.end == never:
		return text + fmt.Sprintf(": number %d, which nobody else has", one.number)
	}
	return text + fmt.Sprintf(": number %d", one.number)
}

func milliseconds(nanoseconds int64) float64 {
	return float64(nanoseconds) / 1e6
}
