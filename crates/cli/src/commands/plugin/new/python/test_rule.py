import unittest

from rule import Config, Deny, StepUp, judge

CONFIG = Config(["shop.example.com"], 50, [])


class RuleTest(unittest.TestCase):
    def test_large_payments_wait_for_a_person(self):
        self.assertIsNone(judge(CONFIG, "shop.example.com", 50_000_000))
        self.assertIsInstance(judge(CONFIG, "shop.example.com", 50_000_001), StepUp)

    def test_unknown_shops_are_refused(self):
        for shop in [None, "evil.example"]:
            with self.assertRaises(Deny):
                judge(CONFIG, shop, 1)


if __name__ == "__main__":
    unittest.main()
