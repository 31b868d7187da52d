package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// value is one figure of one round. Zero values of errors are printed, too.
type value struct {
	Metric string
	Unit   string
	V      float64
	// More says that a larger figure is the better one.
	More bool
}

func line(vs []value) string {
	var parts []string
	for _, v := range vs {
		parts = append(parts, fmt.Sprintf("%s %s %s", v.Metric, number(v.V), v.Unit))
	}
	return strings.Join(parts, ", ")
}

// report keeps every sample, in the order of the scenarios.
type report struct {
	Database string
	Started  time.Time
	Rounds   int
	Rows     []*row
}

// row is one metric of one scenario: the samples of each server.
type row struct {
	Scenario, Metric, Unit string
	More                   bool
	Samples                map[string][]float64
}

func (r *report) add(scenario, subject string, vs []value) {
	for _, v := range vs {
		i := slices.IndexFunc(r.Rows, func(w *row) bool { return w.Scenario == scenario && w.Metric == v.Metric })
		if i < 0 {
			i = len(r.Rows)
			r.Rows = append(r.Rows, &row{Scenario: scenario, Metric: v.Metric, Unit: v.Unit, More: v.More, Samples: map[string][]float64{}})
		}
		r.Rows[i].Samples[subject] = append(r.Rows[i].Samples[subject], v.V)
	}
}

// print writes the table: median [least..most] and how many times better Orion
// is.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "database %s, median [least..most] of %d rounds, load average %s\n\n", r.Database, r.Rounds, loadAverage())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "scenario\tmetric\tunit\torion\tprefect\tratio")
	for _, x := range r.Rows {
		o, p := x.Samples["orion"], x.Samples["prefect"]
		ratio := ""
		if a, b := median(o), median(p); len(o) > 0 && len(p) > 0 && a > 0 && b > 0 {
			if x.More {
				a, b = b, a
			}
			ratio = number(b/a) + "×"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", x.Scenario, x.Metric, x.Unit, spread(o), spread(p), ratio)
	}
	t.Flush()
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func spread(v []float64) string {
	switch len(v) {
	case 0:
		return "–"
	case 1:
		return number(v[0])
	}
	return fmt.Sprintf("%s [%s..%s]", number(median(v)), number(slices.Min(v)), number(slices.Max(v)))
}

// number prints three digits that matter.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100 || v <= -100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10 || v <= -10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1 || v <= -1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	return strings.Fields(string(b))[0]
}
