package devetcd

import (
	"testing"
	"time"
)

func TestAMemberIsReplacedUnderItsNameAndAddressByALearnerThatIsPromoted(t *testing.T) {
	ctx := within(t, 90*time.Second)
	c, err := StartProcesses(ctx, 3, Options{Dir: t.TempDir(), TLS: true, Auth: &Auth{}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	put(ctx, t, &c.access)
	const i = 1
	before, err := c.status(ctx, c.Member(i))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Replace(ctx, i, true); err != nil {
		t.Fatal(err)
	}
	after, err := c.status(ctx, c.Member(i))
	if err != nil {
		t.Fatal(err)
	}
	if after.Header.MemberId == before.Header.MemberId || after.IsLearner {
		t.Errorf("member %d: number %x, then %x, a learner: %v", i, before.Header.MemberId, after.Header.MemberId, after.IsLearner)
	}
	cli, err := c.NewClient(ctx, c.Member(i).Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	r, err := cli.Get(ctx, "/elector/a")
	if err != nil || r.Count != 1 {
		t.Errorf("member %d has not got what was stored: %v, %v", i, r, err)
	}
	list, err := cli.MemberList(ctx)
	if err != nil || len(list.Members) != 3 {
		t.Errorf("members: %v, %v", list, err)
	}
	cli.Close()
}
