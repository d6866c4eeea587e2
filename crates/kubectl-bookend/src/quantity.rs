//! Amounts of processor and memory as the API server reads them. Pure.

/// The amount that `1`, `1000m` or `32Mi` stands for; `None`: the text is not an amount, or a negative one.
pub(crate) fn quantity(text: &str) -> Option<f64> {
    // `parse` knows other words for numbers, such as `inf`.
    text.starts_with(|first: char| first.is_ascii_digit() || first == '.').then_some(())?;
    let with_unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = with_unit.unwrap_or((text, 1.0));
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// The suffixes, the longer ones first. <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
const UNITS: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

#[test]
fn amounts_are_read_as_the_api_server_reads_them() {
    for (text, amount) in [
        ("1", 1.0),
        ("1000m", 1.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("2e3", 2000.0),
        ("2E", 2e18),
        ("1k", 1000.0),
        ("1Ki", 1024.0),
    ] {
        assert_eq!(quantity(text), Some(amount), "{text}");
    }
    for text in ["", "50Mx", "Mi", "1.2.3", "-1", "1e", ".", "5 m", "inf", "nan", "Infinity"] {
        assert_eq!(quantity(text), None, "{text}");
    }
}
