package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
)

// deployedStack is what CloudFormation says of a stack.
type deployedStack struct {
	name    string
	status  types.StackStatus
	changed time.Time
	// outputs and parameters are by their names in template.yaml.
	outputs, parameters map[string]string

	resources    []types.StackResourceSummary
	resourcesErr error // why these are not known
}

// readStack returns the stack of a name. One that is not there is an error with an exit code of its own.
func readStack(ctx context.Context, client *cloudformation.Client, name, region string) (s deployedStack, err error) {
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	out, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	var coded smithy.APIError
	switch {
	case errors.As(err, &coded) && coded.ErrorCode() == "ValidationError":
		return s, exitError{fmt.Sprintf("there is no stack %s in %s (%s)\naws cloudformation list-stacks shows those "+
			"that there are; AWS_REGION names another region.", name, region, coded.ErrorMessage()), exitNotFound}
	case err != nil:
		return s, fmt.Errorf("read the stack: %w", err)
	case len(out.Stacks) != 1:
		return s, fmt.Errorf("CloudFormation tells of %d stacks %s", len(out.Stacks), name)
	}
	described := out.Stacks[0]
	s = deployedStack{
		name: aws.ToString(described.StackName), status: described.StackStatus,
		changed: aws.ToTime(described.CreationTime), outputs: map[string]string{}, parameters: map[string]string{},
	}
	if updated := aws.ToTime(described.LastUpdatedTime); updated.After(s.changed) {
		s.changed = updated
	}
	for _, output := range described.Outputs {
		s.outputs[aws.ToString(output.OutputKey)] = aws.ToString(output.OutputValue)
	}
	for _, parameter := range described.Parameters {
		s.parameters[aws.ToString(parameter.ParameterKey)] = aws.ToString(parameter.ParameterValue)
	}
	s.resources, s.resourcesErr = listResources(ctx, client, name)
	return s, nil
}

// listResources does without the SDK's paginator: it takes an interface, and the program would have all methods of the
// client in it: two megabytes for each such client.
func listResources(
	ctx context.Context, client *cloudformation.Client, stack string,
) (all []types.StackResourceSummary, err error) {
	in := &cloudformation.ListStackResourcesInput{StackName: &stack}
	for {
		page, err := client.ListStackResources(ctx, in)
		if err != nil {
			return nil, err
		}
		all = append(all, page.StackResourceSummaries...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return all, nil
		}
	}
}

// resource is one of those that a stack is made of.
type resource struct{ logicalID, name string }

// of returns the resources of types.
func (s deployedStack) of(resourceTypes ...string) (found []resource) {
	for _, wanted := range resourceTypes {
		for _, r := range s.resources {
			if aws.ToString(r.ResourceType) == wanted {
				found = append(found, resource{aws.ToString(r.LogicalResourceId), aws.ToString(r.PhysicalResourceId)})
			}
		}
	}
	return found
}

// named returns the name of the resource with a logical id, or "".
func (s deployedStack) named(logicalID string) string {
	for _, r := range s.resources {
		if aws.ToString(r.LogicalResourceId) == logicalID {
			return aws.ToString(r.PhysicalResourceId)
		}
	}
	return ""
}

// number returns a parameter that is a whole number, or an initial value where it is none.
func (s deployedStack) number(parameter string, initial int) int {
	if n, err := strconv.Atoi(s.parameters[parameter]); err == nil {
		return n
	}
	return initial
}

// logs returns the command that shows the log of a function, as Verify, and nothing where its name is not known.
func (s deployedStack) logs(function string) []string {
	group := s.named(function + "Logs")
	if group == "" {
		return nil
	}
	return []string{"aws logs tail " + quoteForShell(group) + " --since 15m"}
}

// resourcesOf returns the resources of types. Where they are not known it adds that to the report.
func (d *doctor) resourcesOf(check string, resourceTypes ...string) (found []resource, known bool) {
	if d.stack.resourcesErr != nil {
		d.on(check).untried(d.stack.resourcesErr)
		return nil, false
	}
	return d.stack.of(resourceTypes...), true
}

// doneStatuses are those of a stack whose last deployment has come to its end.
var doneStatuses = []types.StackStatus{
	types.StackStatusCreateComplete, types.StackStatusUpdateComplete, types.StackStatusImportComplete,
}

// examineStack reports whether there is anything more to examine.
func (d *doctor) examineStack() bool {
	f, s := d.on("stack"), d.stack
	const failed = `  --query "reverse(StackEvents[?contains(ResourceStatus,'FAILED')].` +
		`[LogicalResourceId,ResourceStatusReason])"`
	events := "aws cloudformation describe-stack-events --stack-name " + quoteForShell(s.name) +
		" --output text \\\n" + failed
	isUsable := s.outputs["ApiUrl"] != ""
	switch {
	case strings.HasSuffix(string(s.status), "_IN_PROGRESS"):
		f.toDo("STACK_IN_PROGRESS", "it is "+string(s.status),
			"Wait until CloudFormation is done, and run the command again.")
	case s.status == types.StackStatusUpdateRollbackComplete:
		f.toDo("UPDATE_ROLLED_BACK", "its last update failed, and it is as it was before", "See why, and deploy again.",
			events)
	case !slices.Contains(doneStatuses, s.status):
		f.toDo("STACK_FAILED", "it is "+string(s.status),
			"See why; docs/deploy.md says how to remove the remains of a first deployment that failed.", events)
	case !isUsable:
		f.toDo("NOT_OPEN_LICENSER", "it has no output ApiUrl", "Name a stack of Open Licenser: this is another one.")
	default:
		f.ok("%s since %s", s.status, s.changed.UTC().Format(time.RFC3339))
	}
	return isUsable
}
