"""Plants changes in the template, of which upgrade.py has to say what they do."""

import copy
import unittest

from upgrade import compare
from stack import transformed  # first: it says where SAM's and cfn-lint's code believes to be

from parametersets import ROOT

TEMPLATE = transformed((ROOT / "template.yaml").read_text())


class Upgrade(unittest.TestCase):
    def changed(self, change):
        """Returns what compare says of the change, with the default parameters, without what the names of both say."""
        current = copy.deepcopy(TEMPLATE)
        change(current["Resources"])
        return [(line, data) for line, data in compare(TEMPLATE, current) if ", default:" in line]

    def test_nothing(self):
        self.assertEqual([], self.changed(lambda resources: None))

    def test_kept(self):
        def change(resources):
            resources["AuditTable"]["Properties"]["SSESpecification"] = {"SSEEnabled": False}
            resources["New"] = copy.deepcopy(resources["SignatureTable"])
            resources["VerifyFunction"]["Properties"]["MemorySize"] = 128

        self.assertEqual([], self.changed(change))

    def test_lost(self):
        table, key, bucket, log = "AuditTable", "TokenKey", "Checkpoints", "AuditLogs"
        for id, change, said in (
            (table, lambda r: r.pop(table), "is removed"),
            (table, lambda r: r[table].update(Type="AWS::DynamoDB::Table"), "becomes a AWS::DynamoDB::Table"),
            (table, lambda r: r[table]["Properties"].update(TableName="x"), "is replaced for its TableName"),
            (table, lambda r: r[table]["Properties"]["KeySchema"].pop(), "is replaced for its KeySchema"),
            (key, lambda r: r[key]["Properties"].update(MultiRegion=False), "is replaced for its MultiRegion"),
            (key, lambda r: r[key]["Properties"].update(KeySpec="RSA_4096"), "is replaced for its KeySpec"),
            (bucket, lambda r: r[bucket]["Properties"].update(BucketName="x"), "is replaced for its BucketName"),
            (log, lambda r: r[log]["Properties"].update(LogGroupName="x"), "is replaced for its LogGroupName"),
        ):
            with self.subTest(said):
                lines = [line for line, data in self.changed(change) if data and id in line and said in line]
                self.assertTrue(lines, self.changed(change))

    def test_indexes(self):
        indexes = TEMPLATE["Resources"]["LicenseTable"]["Properties"]["GlobalSecondaryIndexes"]
        one = self.changed(lambda r: r["LicenseTable"]["Properties"].update(GlobalSecondaryIndexes=indexes[1:]))
        two = self.changed(lambda r: r["LicenseTable"]["Properties"].update(GlobalSecondaryIndexes=indexes[2:]))
        self.assertEqual(([], 2), (one, len(two)), (one, two))

    def test_replaced_without_data(self):
        lines = self.changed(lambda r: r["VerifyRole"]["Properties"].update(RoleName="x"))
        self.assertEqual([False, False], [data for _, data in lines], lines)


if __name__ == "__main__":
    unittest.main()
