//! Medians, because one slow moment of a machine must not change a figure.

/// Returns the median: the middle value, or the mean of the two middle ones.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

/// Returns the smallest value that this share of all values, in percent, does not exceed. There must be a value.
pub(crate) fn percentile(values: &mut [f64], percent: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values[rank.max(1) - 1]
}

/// Returns the ratio of each pair. Pairs are loads of one round, because machines drift between rounds.
pub(crate) fn ratios(values: &[f64], beside: &[f64]) -> Vec<f64> {
    let pairs = values.iter().zip(beside);
    pairs.map(|(value, beside)| value / beside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_ignores_the_extremes() {
        assert_eq!(median([1000.0, 2.0, 1.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 1000.0, 2.0]), Some(3.0));
        assert_eq!(median([7.0]), Some(7.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_percentile_is_a_value() {
        let mut values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 99.0), 198.0);
        assert_eq!(percentile(&mut values, 50.0), 100.0);
        assert_eq!(percentile(&mut [7.0], 99.0), 7.0);
    }

    #[test]
    fn each_round_has_its_own_ratio() {
        assert_eq!(ratios(&[1.0, 4.0], &[2.0, 2.0]), [0.5, 2.0]);
        assert_eq!(ratios(&[1.0, 4.0], &[2.0]), [0.5]);
    }
}
