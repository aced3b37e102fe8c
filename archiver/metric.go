package archiver

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the archiver's.
type metrics struct {
	rows    *prometheus.CounterVec
	bytes   *prometheus.CounterVec
	commits *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	lag     *prometheus.GaugeVec
	halted  *prometheus.GaugeVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "almanac_archiver_rows_total", Help: "Rows committed.",
		}, []string{"topic"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "almanac_archiver_bytes_total", Help: "Bytes of committed files.",
		}, []string{"topic"}),
		commits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "almanac_archiver_commits_total", Help: "Commits.",
		}, []string{"topic"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "almanac_archiver_flush_seconds", Help: "Time from the first encoded row to the commit.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 12),
		}, []string{"topic"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "almanac_archiver_lag_records", Help: "Records that are on the topic partition and not read yet.",
		}, []string{"topic", "partition"}),
		halted: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "almanac_archiver_halted", Help: "1 where a topic partition of this process is halted.",
		}, []string{"topic", "partition"}),
	}
	if registry == nil {
		return m, nil
	}
	var err error
	for _, c := range []prometheus.Collector{m.rows, m.bytes, m.commits, m.seconds, m.lag, m.halted} {
		err = errors.Join(err, registry.Register(c))
	}
	return m, err
}

// topic creates the label values of a topic.
func (m *metrics) topic(name string, partitions int32) {
	for _, c := range []*prometheus.CounterVec{m.rows, m.bytes, m.commits} {
		c.WithLabelValues(name)
	}
	m.seconds.WithLabelValues(name)
	for p := range partitions {
		m.lag.WithLabelValues(name, strconv.Itoa(int(p)))
		m.halted.WithLabelValues(name, strconv.Itoa(int(p)))
	}
}

func (m *metrics) flushed(topic string, rows, bytes int64, took time.Duration) {
	m.rows.WithLabelValues(topic).Add(float64(rows))
	m.bytes.WithLabelValues(topic).Add(float64(bytes))
	m.commits.WithLabelValues(topic).Inc()
	m.seconds.WithLabelValues(topic).Observe(took.Seconds())
}

// left forgets what was measured of a topic partition that another process has now.
func (m *metrics) left(topic string, partition int32) {
	number := strconv.Itoa(int(partition))
	m.lag.WithLabelValues(topic, number).Set(0)
	m.halted.WithLabelValues(topic, number).Set(0)
}
