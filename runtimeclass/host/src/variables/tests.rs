//! Names, templates and values of variables.

use super::*;

fn declared(variables: &[(&str, Option<&str>)]) -> Declared {
    let owned = |(name, default): &(&str, Option<&str>)| {
        ((*name).to_owned(), default.map(ToOwned::to_owned))
    };
    variables.iter().map(owned).collect()
}

fn values(declared: &Declared, environment: &[(&str, &str)]) -> Result<Values> {
    let environment: BTreeMap<_, _> = environment.iter().copied().collect();
    Values::find(declared, |name| {
        Ok(environment.get(name).map(|value| (*value).to_owned()))
    })
}

#[test]
fn a_value_comes_from_the_environment_or_else_from_the_manifest() -> Result<()> {
    let declared = declared(&[("api_host", Some("localhost")), ("token", None)]);
    let template = Template::parse("http://{{api_host}}/?t={{ token }}{{token}}", &declared)?;
    let environment = [("SPIN_VARIABLE_TOKEN", "x")];
    let filled = template.fill(&values(&declared, &environment)?);
    assert_eq!(filled, "http://localhost/?t=xx");
    let environment = [("SPIN_VARIABLE_TOKEN", ""), ("SPIN_VARIABLE_API_HOST", "h")];
    let filled = template.fill(&values(&declared, &environment)?);
    assert_eq!(filled, "http://h/?t=");
    Ok(())
}

#[test]
fn a_required_variable_without_a_value_is_refused_with_the_variable_to_set() {
    let declared = declared(&[("api_token", None)]);
    let error = values(&declared, &[]).err().expect("it must be refused");
    let error = error.to_string();
    assert!(error.contains("\"api_token\""), "{error}");
    assert!(error.contains("set SPIN_VARIABLE_API_TOKEN"), "{error}");
}

#[test]
fn a_template_must_be_closed_and_use_declared_variables() {
    let declared = declared(&[("a", Some("A"))]);
    let error = |text| {
        let error = Template::parse(text, &declared).expect_err("it must be refused");
        error.to_string()
    };
    assert!(error("x {{ a").contains("without \"}}\""));
    assert!(error("{{ b }}").contains("\"b\", which [variables] does not declare"));
    assert!(error("{{}}").contains("does not declare"));
    for literal in ["", "a", "{ a }", "}}"] {
        let template = Template::parse(literal, &declared).expect("a literal");
        assert!(template.is_literal(), "{literal}");
        assert_eq!(template.fill(&Values::default()), literal);
    }
    // A value is not a template itself.
    let nested = Declared::from([("a".to_owned(), Some("{{ a }}".to_owned()))]);
    let template = Template::parse("{{ a }}", &nested).expect("a template");
    let values = values(&nested, &[]).expect("values");
    assert_eq!(template.fill(&values), "{{ a }}");
}

#[test]
fn names_are_words_with_single_underscores() {
    for good in ["a", "a1", "api_host", "a_1"] {
        check_name(good).expect(good);
    }
    for bad in ["", "A", "api-host", "1a", "_a", "a_", "a__b", "é"] {
        let error = check_name(bad).expect_err(bad).to_string();
        assert!(error.contains(&format!("{bad:?}")), "{error}");
    }
}
