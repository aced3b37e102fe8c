package cosmos

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
)

// TryWrite finds out whether the key may write, and changes nothing: it asks to delete a document of a random name under
// a random partition key, which is not there. Nil is that the service would have deleted it.
func (c *Client) TryWrite(ctx context.Context, container *Container) error {
	id := "almanac-check-" + rand.Text()
	values := make([]string, len(container.Key.Paths))
	for i := range values {
		values[i] = id
	}
	key, err := json.Marshal(values)
	if err != nil {
		return err
	}
	ref := ContainerRef{Database: container.Database, Container: container.Name, RID: container.RID}
	answer, _, err := c.rest.try(ctx, request{
		op: "try to write to " + container.String(), method: http.MethodDelete, kind: "docs",
		link: ref.link() + "/docs/" + id, path: ref.path() + "/" + id, rid: ref.RID, key: string(key),
	})
	switch {
	case err != nil:
		return err
	case answer.status == http.StatusNotFound && answer.substatus == 0:
		return nil
	}
	return answer.refusal()
}
