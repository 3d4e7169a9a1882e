package config

import "strings"

// Suggest names the setting that an unknown one was probably meant to be, or returns "".
func Suggest(name string) string { return nearest(name, names(false)) }

// nearest returns the candidate that name was probably meant to be: one of whose words it is the
// beginning, end or middle, or one that differs by few letters. It returns "" if none is near.
func nearest(name string, candidates []string) string {
	best, least := "", len(name)/3+2
	for _, c := range candidates {
		d := distance(name, c)
		if strings.Contains("-"+c+"-", "-"+name+"-") {
			d = min(d, 1)
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace, or swap with their neighbour, that turn a
// into b.
func distance(a, b string) int {
	var before []int // the row before the last
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
