import unittest

from rule import Config, Deny, check

CONFIG = Config.read('{"currencies": {"EUR": 2, "JPY": 0}}')


class RuleTest(unittest.TestCase):
    def test_listed_currencies_pass(self):
        for body in [b'{"amount": "12.50", "currency": "EUR"}', b'{"amount": "0", "currency": "JPY", "to": {"a": []}}']:
            check(CONFIG, body)

    def test_everything_else_is_refused(self):
        for body in [
            b"", b"[]", b"null", b"{", b"\xff", b"{}",
            b'{"amount": "1", "currency": "USD"}',
            b'{"amount": "1", "currency": "eur"}',
            b'{"amount": "1", "currency": ["EUR"]}',
            b'{"amount": 1, "currency": "EUR"}',
            b'{"amount": "1.5", "currency": "JPY"}',
            b'{"amount": "1.005", "currency": "EUR"}',
            b'{"amount": "-1", "currency": "EUR"}',
            b'{"amount": "01", "currency": "EUR"}',
            b'{"amount": "1e3", "currency": "EUR"}',
            b'{"amount": "1\\n", "currency": "EUR"}',
            '{"amount": "١", "currency": "EUR"}'.encode(),
            b'{"amount": "1", "currency": "EUR", "currency": "USD"}',
        ]:
            with self.subTest(body=body), self.assertRaises(Deny):
                check(CONFIG, body)

    def test_a_configuration_that_makes_no_sense_is_refused(self):
        for text in ["null", "[]", "{}", '{"currencies": ["EUR"]}', '{"currencies": {"EUR": "2"}}', '{"currencies": {}, "x": 1}']:
            with self.subTest(text=text), self.assertRaises(Deny):
                Config.read(text)


if __name__ == "__main__":
    unittest.main()
