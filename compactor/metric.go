package compactor

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the compactor's, per container.
type metrics struct {
	snapshots *prometheus.CounterVec
	failures  *prometheus.CounterVec
	rows      *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	latest    *prometheus.GaugeVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	label := []string{"container"}
	m := &metrics{
		snapshots: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "almanac_compactor_snapshots_total", Help: "Snapshots taken."}, label),
		failures:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "almanac_compactor_failures_total", Help: "Snapshots that failed."}, label),
		rows:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "almanac_compactor_rows_total", Help: "Documents written to snapshots."}, label),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "almanac_compactor_snapshot_seconds", Help: "Time that a snapshot took.", Buckets: prometheus.ExponentialBuckets(0.1, 3, 12),
		}, label),
		latest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "almanac_compactor_snapshot_latest_seconds", Help: "Latest time of the newest snapshot's point, in seconds since 1970.",
		}, label),
	}
	if registry == nil {
		return m, nil
	}
	var err error
	for _, c := range []prometheus.Collector{m.snapshots, m.failures, m.rows, m.seconds, m.latest} {
		err = errors.Join(err, registry.Register(c))
	}
	return m, err
}

// begin creates the label values of a container.
func (m *metrics) begin(container string) {
	for _, c := range []*prometheus.CounterVec{m.snapshots, m.failures, m.rows} {
		c.WithLabelValues(container)
	}
	m.seconds.WithLabelValues(container)
}

func (m *metrics) taken(container string, r *Result, latest time.Time) {
	m.latest.WithLabelValues(container).Set(float64(latest.UnixMilli()) / 1e3)
	if !r.Fresh {
		return
	}
	m.snapshots.WithLabelValues(container).Inc()
	m.rows.WithLabelValues(container).Add(float64(r.Rows))
	m.seconds.WithLabelValues(container).Observe(r.Took.Seconds())
}

func (m *metrics) failed(container string) { m.failures.WithLabelValues(container).Inc() }
