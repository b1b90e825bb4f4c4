package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// How many visits an error lists.
const listed = 8

// The error for a history that no order of its visits explains.
type impossible struct {
	text string
}

func (err *impossible) Error() string {
	return err.text
}

// A counter. A visit whose number is not known always fits; if it was not counted, it can come last.
var counter = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		next := state.(int64) + input.(visit).count
		number := output.(int64)
		return number == 0 || number == next, next
	},
}

// Returns an error if no order explains these visits, or if the search takes longer than the limit.
func judge(visits []visit, limit time.Duration) error {
	operations := make([]porcupine.Operation, len(visits))
	for i, one := range visits {
		operations[i] = porcupine.Operation{
			ClientId: one.client,
			Input:    one,
			Call:     one.call,
			Output:   one.number,
			Return:   one.end,
		}
	}
	// A limit of 0 is none.
	result, info := porcupine.CheckOperationsVerbose(counter, operations, max(limit, 1))
	switch result {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		return &impossible{explain(visits, info)}
	default:
		return errors.New("the search took too long")
	}
}

// Describes where the search got no further: the longest order that fits, and the visits that could be next.
func explain(visits []visit, info porcupine.LinearizationInfo) string {
	var longest []int
	for _, one := range info.PartialLinearizations()[0] {
		if len(one) > len(longest) {
			longest = one
		}
	}
	left := make(map[int]bool, len(visits))
	for i := range visits {
		left[i] = true
	}
	for _, i := range longest {
		delete(left, i)
	}
	// Whatever was called after one of them had returned cannot be next.
	end := int64(never)
	for i := range left {
		end = min(end, visits[i].end)
	}
	var next []visit
	for i := range left {
		if visits[i].call <= end {
			next = append(next, visits[i])
		}
	}
	slices.SortFunc(next, func(a, b visit) int {
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.call, b.call), cmp.Compare(a.client, b.client))
	})
	var text strings.Builder
	number := int64(0)
	for _, i := range longest {
		number += visits[i].count
	}
	fmt.Fprintf(&text, "after number %d none of these can be next:", number)
	for i, one := range next {
		if i == listed {
			fmt.Fprintf(&text, "\n  and %d more", len(next)-listed)
			break
		}
		fmt.Fprintf(&text, "\n  %v", one)
	}
	return text.String()
}
