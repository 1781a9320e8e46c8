//! Ending an answer at a stop sequence. The program is not told of them: in its settings it would put something else for
//! some of their letters.

/// Watches a text as it comes. What may be the beginning of a sequence waits.
#[derive(Debug, Default)]
pub(super) struct StopCutter {
    sequences: Vec<String>,
    held: String,
    is_cut: bool,
}

impl StopCutter {
    pub(super) fn new(sequences: Vec<String>) -> Self {
        Self {
            sequences: sequences.into_iter().filter(|text| !text.is_empty()).collect(),
            held: String::new(),
            is_cut: false,
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What of the text so far is certain to be in the answer.
    pub(super) fn push(&mut self, text: &str) -> String {
        if self.is_cut {
            return String::new();
        }
        self.held.push_str(text);
        let found = self
            .sequences
            .iter()
            .filter_map(|stop| self.held.find(stop))
            .min();
        if let Some(at) = found {
            self.is_cut = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let begins = self
            .sequences
            .iter()
            .filter_map(|stop| beginning_at(&self.held, stop))
            .min();
        let waiting = self.held.split_off(begins.unwrap_or(self.held.len()));
        std::mem::replace(&mut self.held, waiting)
    }

    /// What waited for a sequence that did not come.
    pub(super) fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Where the longest end of the text begins that is a beginning of the sequence.
fn beginning_at(text: &str, stop: &str) -> Option<usize> {
    let lengths = stop.char_indices().map(|(at, _)| at).filter(|at| *at > 0).rev();
    let mut ends = lengths.filter(|length| stop.get(..*length).is_some_and(|begin| text.ends_with(begin)));
    ends.next().and_then(|length| text.len().checked_sub(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_where_a_sequence_begins_however_it_comes() {
        let table = [
            ("one END two", "one "),
            ("one EN two", "one EN two"),
            ("one EEND", "one E"),
            ("größe ü||", "größe "),
            ("END", ""),
            ("EN", "EN"),
        ];
        for (text, expected) in table {
            for size in 1..=text.len() {
                let mut cutter = StopCutter::new(vec!["END".to_owned(), "ü|".to_owned(), String::new()]);
                let letters: Vec<char> = text.chars().collect();
                let mut passed = String::new();
                for piece in letters.chunks(size) {
                    passed.push_str(&cutter.push(&piece.iter().collect::<String>()));
                }
                let is_cut = cutter.is_cut();
                passed.push_str(&cutter.rest());
                assert_eq!(passed, expected);
                assert_eq!(is_cut, expected != text);
            }
        }
    }
}
