package main

import (
	"cmp"
	"slices"
)

// How many visits are judged at once. The search keeps a set of visits for each step that it takes, so its memory grows with
// the square of this number.
const partLength = 4096

// Gives the numbers that nobody got to the visits without an answer, in the order of their calls, and leaves out those that
// are left over. Returns the visits, and how many have got a number so.
//
// Otherwise each visit without an answer could be counted at every step, and the search would try all combinations. The
// verdict is the same:
//
//   - Numbers are without gaps. In every order that explains the history, a gap up to the highest number is filled by a visit
//     without an answer, and each of these fills at most one. Those left over can come last, which no other visit notices.
//   - If any visits fill the gaps, those called first can. Let an order be given in which the visits U fill k gaps. At the
//     point of the i-th gap, i visits of U have been called, so the first i of all visits without an answer have been called
//     too. The i-th of these can therefore stand at that point. It has no return that a later visit would have to follow.
//   - If there are more gaps than visits, a gap stays, and no order explains the history.
func fill(visits []visit) ([]visit, int) {
	var known, open []visit
	for _, one := range visits {
		if one.number == 0 {
			open = append(open, one)
		} else {
			known = append(known, one)
		}
	}
	slices.SortStableFunc(known, func(a, b visit) int { return cmp.Compare(a.number, b.number) })
	slices.SortStableFunc(open, func(a, b visit) int { return cmp.Compare(a.call, b.call) })
	filled := 0
	var all []visit
	last := int64(0)
	for _, one := range known {
		for last++; last < one.number && filled < len(open); last++ {
			open[filled].number = last
			all = append(all, open[filled])
			filled++
		}
		last = one.number
		all = append(all, one)
	}
	return all, filled
}

// Cuts visits, each with its number and sorted by it, into parts that are judged one by one.
//
// A part begins with one operation for all visits before: it adds their count, and is called with the last of their calls. It
// has to come first in its part because of its number. That is possible unless a visit of the part returned before that last
// call, and that is the only way in which two visits of different parts can contradict each other. So all parts are
// linearizable if and only if the whole is.
func cut(visits []visit) [][]visit {
	var parts [][]visit
	var before visit
	for part := range slices.Chunk(visits, partLength) {
		if before.count == 0 {
			parts = append(parts, part)
		} else {
			parts = append(parts, append([]visit{before}, part...))
		}
		before.number = part[len(part)-1].number
		before.count, before.end = before.number, never
		for _, one := range part {
			before.call = max(before.call, one.call)
		}
	}
	return parts
}
