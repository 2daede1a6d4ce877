import unittest

import counting


class Words(unittest.TestCase):
    def test_words(self):
        self.assertEqual(counting.words("one two  three"), 3)
