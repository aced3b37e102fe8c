package producer

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cosmos-almanac/almanac/schemas"
)

// metrics of a producer. Those with labels have a value per feed range of the configuration.
type metrics struct {
	events, bytes, marks, checkpoints, charge prometheus.Counter
	halts, lsn, newest                        *prometheus.GaugeVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "almanac_producer_" + name, Help: help})
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "almanac_producer_" + name, Help: help}, []string{"container", "range"})
	}
	m := &metrics{
		events:      counter("events_total", "Records handed to the brokers, control events included."),
		bytes:       counter("bytes_total", "Bytes of their values."),
		marks:       counter("marks_total", "Marks that were acknowledged."),
		checkpoints: counter("checkpoints_total", "Checkpoints that were written."),
		charge:      counter("request_units_total", "Request units that reading the change feed was charged."),
		halts:       gauge("halted", "1 while this process holds the feed range, and it is halted."),
		lsn:         gauge("position_lsn", "LSN up to which the feed range is acknowledged on the topic."),
		newest:      gauge("newest_lsn", "Greatest LSN that the service reported for the feed range in its generation."),
	}
	if registry == nil {
		return m, nil
	}
	var err error
	for _, c := range []prometheus.Collector{m.events, m.bytes, m.marks, m.checkpoints, m.charge, m.halts, m.lsn, m.newest} {
		err = errors.Join(err, registry.Register(c))
	}
	return m, err
}

func (m *metrics) halted(k *task, value float64) {
	m.halts.WithLabelValues(k.container.Name(), k.span.String()).Set(value)
}

func (m *metrics) position(c *schemas.Checkpoint) {
	m.lsn.WithLabelValues(c.Container, c.Range.String()).Set(float64(c.Position))
	m.newest.WithLabelValues(c.Container, c.Range.String()).Set(float64(c.Newest))
}
