package cosmosfake_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// An account of one's own in a test: start it, make a client that trusts it, and use that as any other.
func Example() {
	server, err := cosmosfake.New(cosmosfake.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := errors.Join(sell(context.Background(), server), server.Close()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"id":"1","total":12.5}
	// on a bad day: 403
}

func sell(ctx context.Context, server *cosmosfake.Server) error {
	key, err := azcosmos.NewKeyCredential(server.Key())
	if err != nil {
		return err
	}
	client, err := azcosmos.NewClientWithKey(server.URL(), key, &azcosmos.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: server.Client()},
	})
	if err != nil {
		return err
	}
	if _, err := client.CreateDatabase(ctx, azcosmos.DatabaseProperties{ID: "shop"}, nil); err != nil {
		return err
	}
	database, err := client.NewDatabase("shop")
	if err != nil {
		return err
	}
	definition := azcosmos.ContainerProperties{ID: "orders", PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{"/customer"}}}
	if _, err := database.CreateContainer(ctx, definition, nil); err != nil {
		return err
	}
	container, err := database.NewContainer("orders")
	if err != nil {
		return err
	}
	ada := azcosmos.NewPartitionKeyString("ada")
	order := []byte(`{"id": "1", "customer": "ada", "total": 12.50}`)
	if _, err := container.UpsertItem(ctx, ada, order, nil); err != nil {
		return err
	}
	pager := container.NewQueryItemsPager("SELECT c.id, c.total FROM c WHERE c.total > 10", ada, nil)
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			fmt.Println(string(item))
		}
	}
	// Whatever the service does on its bad days, a hook does to the requests that it chooses.
	server.SetHook(func(r *http.Request) *cosmosfake.Fault {
		if r.Method == http.MethodDelete {
			return &cosmosfake.Fault{Status: http.StatusForbidden, Message: "behind a firewall"}
		}
		return nil
	})
	var refused *azcore.ResponseError
	if _, err := container.DeleteItem(ctx, ada, "1", nil); errors.As(err, &refused) {
		fmt.Println("on a bad day:", refused.StatusCode)
	}
	return nil
}
