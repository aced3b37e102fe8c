package topic

import "testing"

// search tries every schedule, and answers how many worlds there are and the shortest way to a broken promise.
func search(brokers Brokers, without Guard) (worlds int, broken []string) {
	type step struct {
		before World
		name   string
	}
	came := map[World]step{New(): {}}
	for queue := []World{New()}; len(queue) > 0; queue = queue[1:] {
		w := queue[0]
		if w.broken != "" {
			broken = append(broken, w.broken)
			for ; w != New(); w = came[w].before {
				broken = append([]string{came[w].name}, broken...)
			}
			return len(came), broken
		}
		for name, next := range w.Steps(brokers, without) {
			if _, known := came[next]; !known {
				came[next] = step{w, name}
				queue = append(queue, next)
			}
		}
	}
	return len(came), nil
}

// TestEverySchedule: with all guards, no record of a topic made anew is archived.
func TestEverySchedule(t *testing.T) {
	for _, brokers := range []Brokers{WithIDs, WithoutIDs} {
		worlds, broken := search(brokers, None)
		if broken != nil {
			t.Errorf("%s: %q", brokers, broken)
		}
		t.Logf("%s: %d worlds", brokers, worlds)
	}
}

// TestEveryGuardMatters: without any one of them, some schedule breaks the promise.
func TestEveryGuardMatters(t *testing.T) {
	for _, test := range []struct {
		without Guard
		brokers Brokers
	}{{Whole, WithIDs}, {Whole, WithoutIDs}, {Before, WithIDs}, {Before, WithoutIDs}, {Proved, WithoutIDs}, {Obey, WithIDs}, {Obey, WithoutIDs}} {
		_, broken := search(test.brokers, test.without)
		if broken == nil {
			t.Errorf("%s, without %q: every schedule keeps the promise: the guard is not needed", test.brokers, test.without)
		}
		t.Logf("%s, without %q: %q", test.brokers, test.without, broken)
	}
}
