//! The rehearsal: one life after the other, and the verdict.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use nix::sys::signal::Signal;

use super::args::Args;
use super::bookend::{Bookend, Configuration, Drain, Settings};
use super::engine::Engine;
use super::local::Local;
use super::one_run::one;
use super::place::Place;
use super::results::{Finding, Results, not_run};
use super::strategy::Strategy;
use super::{advice, interrupt, print};

/// Runs every strategy, and prints the results.
pub(crate) fn all(args: &Args) -> Result<ExitCode, String> {
    let plans = args.late.iter().map(|late| args.plan(*late)).collect::<Result<Vec<_>, _>>()?;
    if args.grace == 0 || args.grace > 600 {
        return Err("--grace is 1 to 600 seconds".to_owned());
    }
    let place = place(args)?;
    let place = place.as_ref();
    let bookend = bookend(args, place)?;
    let (strategies, missing) = strategies(args)?;
    let mut found = Results {
        version: env!("CARGO_PKG_VERSION"),
        image: args.image.clone(),
        command: place.command(),
        url: args.url.clone(),
        grace_seconds: args.grace,
        traffic: print::traffic(args),
        runs: Vec::new(),
        not_run: missing,
        judged: judged(args, &strategies)?,
        allow_lost: args.allow_lost,
        passed: None,
        advice: None,
        no_advice: None,
        findings: Vec::new(),
        notes: place.notes(),
    };
    for plan in &plans {
        for strategy in &strategies {
            eprintln!("{}, clients until {} s after the stop begins ...", strategy.title(), plan.late_seconds);
            match one(place, strategy, bookend.as_ref(), plan, args) {
                Ok(run) => found.runs.push(run),
                Err(problem) => {
                    interrupt::check()?;
                    eprintln!("  not run: {problem}");
                    found.not_run.push(not_run(strategy, problem));
                }
            }
        }
    }
    if let Some(bookend) = &bookend {
        found.findings = findings(place, bookend, args).unwrap_or_else(|problem| {
            found.notes.push(format!("cannot run bookend doctor: {problem}"));
            Vec::new()
        });
        if let Some(plan) = plans.iter().max_by(|a, b| a.late_seconds.total_cmp(&b.late_seconds)) {
            advice::find(&mut found, place, bookend, plan, args)?;
        }
    }
    found.judge();
    print::all(&found, args)?;
    Ok(match found.passed {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => {
            eprintln!("bookend-rehearse: not every judged strategy was run: {}", found.judged.join(", "));
            ExitCode::from(crate::NOT_REHEARSED)
        }
    })
}

fn place(args: &Args) -> Result<Box<dyn Place>, String> {
    match (&args.engine, &args.image) {
        (Some(engine), Some(image)) => {
            let signal = args.stop_signal.as_deref();
            Ok(Box::new(Engine::new(engine, image, &args.command, &args.network, &args.engine_arg, signal)?))
        }
        (Some(_), None) => Err("--engine needs an image".to_owned()),
        (None, Some(image)) => Err(format!("{image}: an image needs --engine, and a command comes after --")),
        (None, None) if args.command.is_empty() => Err("the server's command is missing: give it after --".to_owned()),
        (None, None) => {
            let stop_signal = signal(args.stop_signal.as_deref().unwrap_or("SIGTERM"))?;
            Ok(Box::new(Local { command: args.command.clone(), stop_signal }))
        }
    }
}

/// A signal by name or number, as STOPSIGNAL has it.
fn signal(text: &str) -> Result<Signal, String> {
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    let number = text.parse().ok().and_then(|number: i32| Signal::try_from(number).ok());
    number
        .or_else(|| Signal::from_str(&name).ok())
        .ok_or_else(|| format!("{text} is not a signal that this mode can send"))
}

#[test]
fn a_stop_signal_is_a_name_or_a_number() {
    for text in ["SIGQUIT", "quit", "3"] {
        assert_eq!(signal(text), Ok(Signal::SIGQUIT), "{text}");
    }
    assert!(signal("SIGRTMIN+3").is_err() && signal("0").is_err() && signal("").is_err());
}

/// bookend's file and configuration; `None` if there is no file.
fn bookend(args: &Args, place: &dyn Place) -> Result<Option<Bookend>, String> {
    let beside = || {
        let file = std::env::current_exe().ok()?.with_file_name("bookend");
        file.is_file().then_some(file)
    };
    let variable = || std::env::var_os("BOOKEND_BIN").map(PathBuf::from).filter(|file| file.is_file());
    let Some(file) = args.bookend.clone().or_else(beside).or_else(variable) else { return Ok(None) };
    if !file.is_file() {
        return Err(format!("--bookend {}: the file does not exist", file.display()));
    }
    let none = Settings { grace: args.grace, profile: None, drain: None };
    let configuration = Configuration::Settings(none.clone());
    let mut bookend = Bookend { file, configuration, port: args.hook_port };
    bookend.configuration = match (&args.config, &args.profile) {
        (Some(file), _) => Configuration::File(file.clone()),
        (None, None) if place.has("/etc/bookend/bookend.toml") => Configuration::OfTheImage,
        (None, profile) => {
            let profile = match profile.as_deref() {
                Some("none") => None,
                Some(profile) => Some(profile.to_owned()),
                None => bookend.profile_for(&place.command()),
            };
            let generic = Drain { min: 3, quiet: 2, max: 15, until_not_busy: false };
            let drain = profile.is_none().then_some(generic);
            Configuration::Settings(Settings { profile, drain, ..none })
        }
    };
    Ok(Some(bookend))
}

/// The strategies, and those that cannot be run.
fn strategies(args: &Args) -> Result<(Vec<Strategy>, Vec<super::results::NotRun>), String> {
    let mut all = vec![Strategy::AsIs];
    let mut missing = Vec::new();
    match &args.tini {
        // tini becomes a subreaper by its variable, if it is not PID 1.
        Some(file) => all.push(Strategy::Init("tini".to_owned(), file.clone(), vec!["--".to_owned()])),
        None => {
            let reason = "--tini FILE is not given".to_owned();
            missing.push(super::results::NotRun { strategy: "tini".to_owned(), reason });
        }
    }
    for init in &args.init {
        let (name, words) =
            init.split_once('=').ok_or_else(|| format!("--init {init}: write NAME=FILE [OPTION...]"))?;
        let mut words = words.split_whitespace();
        let file = words.next().ok_or_else(|| format!("--init {init}: the file is missing"))?;
        all.push(Strategy::Init(name.to_owned(), PathBuf::from(file), words.map(str::to_owned).collect()));
    }
    all.extend(args.sleep.iter().map(|seconds| Strategy::Sleep(*seconds)));
    all.extend(args.pre_stop.iter().map(|script| Strategy::Script(script.clone())));
    all.extend([Strategy::BookendSignal, Strategy::BookendHook]);
    let wanted = |id: &str| {
        let kind = id.split_once("-").filter(|(kind, _)| *kind == "sleep").map_or(id, |(kind, _)| kind);
        args.strategies.is_empty() || args.strategies.iter().any(|name| name == id || name == kind)
    };
    let known = |name: &String| {
        all.iter().any(|strategy| strategy.id() == *name) || ["sleep", "script", "tini"].contains(&name.as_str())
    };
    if let Some(name) = args.strategies.iter().find(|name| !known(name)) {
        return Err(format!("--strategies {name}: unknown strategy"));
    }
    all.retain(|strategy| wanted(&strategy.id()));
    missing.retain(|missing| wanted(&missing.strategy));
    Ok((all, missing))
}

fn judged(args: &Args, strategies: &[Strategy]) -> Result<Vec<String>, String> {
    let ids: Vec<String> = strategies.iter().map(Strategy::id).collect();
    if let Some(name) = args.judge.iter().find(|name| !ids.contains(name)) {
        return Err(format!("--judge {name}: this strategy is not run; strategies that are run: {}", ids.join(", ")));
    }
    if !args.judge.is_empty() {
        return Ok(args.judge.clone());
    }
    let ours: Vec<String> = ids.iter().filter(|id| id.starts_with("bookend-")).cloned().collect();
    if ours.is_empty() { Err("no strategy is judged: name one with --judge".to_owned()) } else { Ok(ours) }
}

/// The findings of `bookend doctor` in the image, for the configuration of the strategies.
fn findings(place: &dyn Place, bookend: &Bookend, args: &Args) -> Result<Vec<Finding>, String> {
    let mut launch = bookend.launch(place, false);
    // `bookend OPTIONS --` becomes `bookend doctor --json OPTIONS -- COMMAND`.
    let mut words = std::mem::take(&mut launch.init);
    let mut options = vec!["doctor".to_owned(), "--json".to_owned()];
    if let Some(signal) = place.stop_signal_of_the_image().or_else(|| args.stop_signal.clone()) {
        options.extend(["--stop-signal".to_owned(), signal]);
    }
    words.splice(1..1, options);
    words.extend(place.command());
    let output = place.run(&launch, &words)?;
    let found: serde_json::Value = serde_json::from_str(output.stdout.trim())
        .map_err(|_| output.stderr.lines().next().unwrap_or("it printed nothing").to_owned())?;
    let findings = found.get("findings").cloned().unwrap_or_default();
    let findings: Vec<Finding> = serde_json::from_value(findings).map_err(|error| error.to_string())?;
    // A rehearsal is on loopback.
    Ok(findings.into_iter().filter(|finding| finding.check != "loopback-only").collect())
}
