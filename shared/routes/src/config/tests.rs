use super::*;

/// Returns a configuration with two engines for all modes, and a route with these additional members.
fn routed(members: &str) -> String {
    let server = r#"{"kind": "openai", "url": "http://127.0.0.1:1/v1", "model": "m"}"#;
    format!(
        r#"{{"engines": {{"pp-ocr@v6-small": {{"kind": "pp-ocr"}}, "a@1": {server}, "a@2": {server}}},
            "routes": [{{"modes": ["text", "formula"], "primary": "a@1"{members}}}]}}"#
    )
}

fn refused(json: &str) -> String {
    Config::parse(json).expect_err("an invalid configuration").to_string()
}

#[test]
fn the_default_reads_text_markdown_and_tables_with_pp_ocr() {
    let config = Config::default();
    assert_eq!(config.modes(), [ModeName::Text, ModeName::Markdown, ModeName::Table].into());
    assert_eq!(config.routes[0].primary.to_string(), "pp-ocr@v6-small");
}

#[test]
fn the_variable_names_a_file_or_holds_the_json_itself() {
    let json = routed("");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("engines.json");
    std::fs::write(&file, &json).expect("the file is written");
    let file = file.to_str().expect("the path is UTF-8");
    let expected = Config::parse(&json).expect("a valid configuration");
    for value in [file, &json, &format!("\n {json}")] {
        assert_eq!(Config::load(Some(value), Tier::Small).as_ref(), Ok(&expected));
    }
    for unset in [None, Some("")] {
        assert_eq!(Config::load(unset, Tier::Small), Ok(Config::default()));
    }
    let missing = Config::load(Some("no-such-file.json"), Tier::Small).expect_err("the file does not exist");
    assert!(missing.to_string().starts_with("QUIRE_ENGINES=\"no-such-file.json\": "), "{missing}");
    let wrong = Config::load(Some("{}"), Tier::Small).expect_err("an invalid configuration").to_string();
    assert!(wrong.contains("{…}") && wrong.contains("engines"), "{wrong}");
}

#[test]
fn a_route_has_a_fallback_thresholds_and_a_canary() {
    let members = r#", "fallback": "a@2", "fallback_below": 0.8, "review_below": 0.5"#;
    let config = Config::parse(&routed(members)).expect("a valid configuration");
    let route = config.route(ModeName::Formula).expect("a route");
    assert_eq!(route.fallback, "a@2".parse().ok());
    assert!((route.fallback_below - 0.8).abs() < 1e-6 && (route.review_below - 0.5).abs() < 1e-6);
    assert_eq!(config.route(ModeName::Table), None);
    let members = r#", "canary": {"engine": "a@2", "share": 0.1}"#;
    let config = Config::parse(&routed(members)).expect("a valid configuration");
    assert_eq!(config.routes[0].canary.as_ref().map(|canary| canary.engine.to_string()), Some("a@2".to_owned()));
}

#[test]
fn an_invalid_configuration_is_refused_with_the_reason() {
    for (members, why) in [
        (r#", "fallback": "b@1""#, "unknown engine b@1"),
        (r#", "fallback": "a@1""#, "a route names a@1 twice"),
        (r#", "fallback": "pp-ocr@v6-small""#, "pp-ocr@v6-small does not offer the mode formula"),
        (r#", "fallback": "nonsense""#, "name@version"),
        (r#", "review_below": 1.5"#, "between 0 and 1"),
        (r#", "canary": {"engine": "a@2", "share": -0.1}"#, "between 0 and 1"),
        (r#", "falback": "a@2""#, "unknown field `falback`"),
    ] {
        let value = refused(&routed(members));
        assert!(value.contains(why), "{members}: {value}");
    }
    assert!(refused(r#"{"engines": {}, "routes": []}"#).contains("at least one route"));
    assert!(refused("{").contains("EOF"));
    assert!(
        refused(&routed("").replace("\"model\": \"m\"", "\"model\": \"m\", \"concurrency\": 0"))
            .contains("concurrency")
    );
}

/// Returns a configuration with an engine for other scripts, and this route to it.
fn with_scripts(entry: &str, route: &str) -> String {
    format!(
        r#"{{"engines": {{"pp-ocr@1": {{"kind": "pp-ocr"}}, "tesseract@5": {{"kind": "tesseract", {entry}}}}},
            "routes": [{{"modes": ["text"], "primary": "pp-ocr@1"}}, {{{route}}}]}}"#
    )
}

#[test]
fn a_route_of_scripts_names_the_engine_that_reads_them() {
    let route = r#""scripts": ["Cyrillic", "Hangul"], "primary": "tesseract@5""#;
    let config = Config::parse(&with_scripts(r#""languages": ["rus", "kor"]"#, route)).expect("a valid configuration");
    let primary = "tesseract@5".parse().expect("an engine");
    assert_eq!(config.script_routes, [ScriptRoute { scripts: [Script::Cyrillic, Script::Hangul].into(), primary }]);
    assert_eq!((config.routes.len(), config.modes()), (1, [ModeName::Text].into()));
}

#[test]
fn an_invalid_route_of_scripts_is_refused_with_the_reason() {
    let languages = r#""languages": ["rus"]"#;
    for (entry, route, why) in [
        (languages, r#""scripts": ["Cyrillic"], "primary": "b@1""#, "unknown engine b@1"),
        (languages, r#""scripts": ["Klingon"], "primary": "tesseract@5""#, "Klingon"),
        (languages, r#""scripts": ["Greek"], "modes": ["table"], "primary": "tesseract@5""#, "no other member"),
        (languages, r#""scripts": ["Greek"], "primary": "tesseract@5", "fallback_below": 0.5"#, "no other member"),
        (languages, r#""primary": "tesseract@5""#, "no modes and no scripts"),
        (languages, r#""modes": ["formula"], "primary": "tesseract@5""#, "does not offer the mode formula"),
        (r#""languages": []"#, r#""scripts": ["Greek"], "primary": "tesseract@5""#, "languages"),
        (r#""languages": ["../rus"]"#, r#""scripts": ["Greek"], "primary": "tesseract@5""#, "languages"),
        (
            r#""languages": ["rus"], "concurrency": 0"#,
            r#""scripts": ["Greek"], "primary": "tesseract@5""#,
            "concurrency",
        ),
    ] {
        let value = refused(&with_scripts(entry, route));
        assert!(value.contains(why), "{entry}, {route}: {value}");
    }
}

#[test]
fn the_tier_names_the_default_engine_and_an_engine_has_a_tier_or_a_folder() {
    let auto = Config::load(None, Tier::Auto).expect("a valid configuration");
    assert_eq!(auto.routes[0].primary.to_string(), "pp-ocr@v6-auto");
    let config = |settings: &str| {
        let engines = format!(r#"{{"a@1": {{"kind": "pp-ocr"{settings}}}}}"#);
        Config::parse(&format!(r#"{{"engines": {engines}, "routes": [{{"modes": ["text"], "primary": "a@1"}}]}}"#))
    };
    let kind =
        |settings: &str| config(settings).expect("a valid configuration").engines.into_values().next().map(|e| e.kind);
    assert_eq!(kind(""), Some(EngineKind::PpOcr(PpOcrEntry::default())));
    let tiny = PpOcrEntry { tier: Some(Tier::Tiny), folder: None };
    assert_eq!(kind(r#", "tier": "tiny""#), Some(EngineKind::PpOcr(tiny)));
    let folder = PpOcrEntry { tier: None, folder: Some("/models/medium".into()) };
    assert_eq!(kind(r#", "folder": "/models/medium""#), Some(EngineKind::PpOcr(folder)));
    let both = config(r#", "tier": "tiny", "folder": "x""#).expect_err("they contradict").to_string();
    assert!(both.contains("only one of them"), "{both}");
    let unknown = config(r#", "tier": "large""#).expect_err("there is none").to_string();
    assert!(unknown.contains("`tiny`, `small`, `auto`"), "{unknown}");
}
