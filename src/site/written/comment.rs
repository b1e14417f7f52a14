//! Comments in a site file: one sentence on as many lines as it takes, and nothing that could end a comment.

use crate::barman::ids::is_unprintable;

/// Comments are no wider.
const WIDTH: usize = 110;

/// A comment below an indent.
pub fn comment(indent: usize, text: &str) -> String {
    let head = format!("{}# ", " ".repeat(indent));
    let text: String = text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect();
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if head.len() + line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| format!("{head}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::comment;

    #[test]
    fn no_text_can_end_a_comment() {
        assert_eq!(comment(2, "one\nreplicas: {}\u{2028}x"), "  # one replicas: {} x\n");
        let long = comment(4, &"word ".repeat(50));
        assert!(long.lines().all(|line| line.starts_with("    # word") && line.len() <= 110), "{long}");
    }
}
