//! The form of `questions.yaml`: what the catalogue's validator asks of each question, as far as its schema tells, and
//! whether answers fit. Pure functions of what was read. Must not know our own questions.

use serde_json::Value;

/// A name, and whether a value is what it stands for.
pub(crate) type Fits = (&'static str, fn(&Value) -> bool);

/// The kinds of answer, and how a default of that kind looks.
const KINDS: &[Fits] = &[
    ("string", Value::is_string),
    ("path", Value::is_string),
    ("hostpath", Value::is_string),
    ("uri", Value::is_string),
    ("int", |value| value.is_i64() || value.is_u64()),
    ("boolean", Value::is_boolean),
    ("list", Value::is_array),
    ("dict", Value::is_object),
];

fn words<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Everything that is wrong with the whole file, each in a line.
pub(crate) fn complaints(file: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let groups: Vec<&str> = list(file, "groups").iter().filter_map(|group| words(group, "name")).collect();
    for group in list(file, "groups") {
        if words(group, "name").is_none() || words(group, "description").is_none() {
            wrong.push(format!("a group needs a name and a description: {group}"));
        }
    }
    let questions = list(file, "questions");
    if groups.is_empty() || questions.is_empty() {
        wrong.push("there are no groups or no questions".to_owned());
    }
    for question in questions {
        match words(question, "group") {
            Some(group) if groups.contains(&group) => {}
            other => wrong
                .push(format!("{}: there is no group {other:?}", words(question, "variable").unwrap_or("?"))),
        }
    }
    for group in &groups {
        if !questions.iter().any(|question| words(question, "group") == Some(group)) {
            wrong.push(format!("group {group} is empty"));
        }
    }
    siblings("", questions, &mut wrong);
    wrong
}

fn siblings(above: &str, questions: &[Value], wrong: &mut Vec<String>) {
    let mut seen = Vec::new();
    for question in questions {
        let Some(variable) = words(question, "variable") else {
            wrong.push(format!("{above}: a question without a variable"));
            continue;
        };
        let name = format!("{above}{variable}");
        if seen.contains(&variable) {
            wrong.push(format!("{name} is there twice"));
        }
        seen.push(variable);
        if words(question, "label").is_none() {
            wrong.push(format!("{name} has no label"));
        }
        match question.get("schema") {
            Some(schema) => one(&name, schema, questions, wrong),
            None => wrong.push(format!("{name} has no schema")),
        }
    }
}

fn one(name: &str, schema: &Value, beside: &[Value], wrong: &mut Vec<String>) {
    let kind = words(schema, "type").unwrap_or("");
    let Some((_, fits)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        wrong.push(format!("{name}: there is no type {kind:?}"));
        return;
    };
    if let Some(default) = schema.get("default") {
        if !fits(default) {
            wrong.push(format!("{name}: the default {default} is no {kind}"));
        }
        wrong.extend(limits(name, schema, default));
    }
    for condition in list(schema, "show_if") {
        let other = condition.get(0).and_then(Value::as_str);
        let there = beside.iter().any(|question| words(question, "variable") == other);
        if condition.as_array().map(Vec::len) != Some(3) || !there {
            wrong.push(format!("{name}: show_if {condition} names nothing beside it"));
        }
    }
    for choice in list(schema, "enum") {
        if choice.get("value").is_none() || words(choice, "description").is_none() {
            wrong.push(format!("{name}: a choice needs a value and a description: {choice}"));
        }
    }
    if kind == "dict" {
        if !schema.get("attrs").is_some_and(Value::is_array) {
            wrong.push(format!("{name}: a dict needs attrs"));
        }
        siblings(&format!("{name}."), list(schema, "attrs"), wrong);
    }
    if kind == "list" {
        if list(schema, "items").len() != 1 {
            wrong.push(format!("{name}: a list needs one item"));
        }
        siblings(&format!("{name}[]."), list(schema, "items"), wrong);
    }
}

fn limits(name: &str, schema: &Value, value: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let number = value.as_f64();
    let length = value.as_str().map(|text| text.len() as f64);
    let below = |size: Option<f64>, least: Option<f64>| matches!((size, least), (Some(a), Some(b)) if a < b);
    if below(number, bound("min")) || below(length, bound("min_length")) {
        wrong.push(format!("{name}: {value} is too small"));
    }
    if below(bound("max"), number) || below(bound("max_length"), length) {
        wrong.push(format!("{name}: {value} is too large"));
    }
    let choices = list(schema, "enum");
    if !choices.is_empty() && !choices.iter().any(|choice| choice.get("value") == Some(value)) {
        wrong.push(format!("{name}: {value} is none of the choices"));
    }
    wrong
}

/// The schema of the question `path`, like `network.web_port`; items of lists have no path.
pub(crate) fn find<'a>(file: &'a Value, path: &str) -> Option<&'a Value> {
    let mut questions = list(file, "questions");
    let mut found = None;
    for part in path.split('.') {
        let question = questions.iter().find(|question| words(question, "variable") == Some(part))?;
        found = question.get("schema");
        questions = list(found?, "attrs");
    }
    found
}

/// What does not fit when `answers` are given to the questions; `beside` are values that are nobody's answer.
pub(crate) fn misfits(file: &Value, answers: &Value, beside: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, answer) in answers.as_object().unwrap() {
        if beside.contains(&key.as_str()) {
            continue;
        }
        match find(file, key) {
            Some(schema) => misfit(key, schema, answer, &mut wrong),
            None => wrong.push(format!("nobody asks for {key}")),
        }
    }
    wrong
}

fn misfit(name: &str, schema: &Value, answer: &Value, wrong: &mut Vec<String>) {
    let kind = words(schema, "type").unwrap_or("");
    // Their own test values give processors as 2.0.
    let whole = kind == "int" && answer.as_f64().is_some_and(|number| number.fract() == 0.0);
    let fits = KINDS.iter().any(|(known, fits)| *known == kind && fits(answer)) || whole;
    if !fits {
        wrong.push(format!("{name}: {answer} is no {kind}"));
        return;
    }
    wrong.extend(limits(name, schema, answer));
    // What a `$ref` brings along only their side knows.
    let open = schema.get("$ref").is_some();
    for (key, inner) in answer.as_object().into_iter().flatten() {
        let asked = list(schema, "attrs").iter().find(|question| words(question, "variable") == Some(key));
        match asked.and_then(|question| question.get("schema")) {
            Some(schema) => misfit(&format!("{name}.{key}"), schema, inner, wrong),
            // Only in test values: makes the folder.
            None if open || key == "create_host_path" => {}
            None => wrong.push(format!("nobody asks for {name}.{key}")),
        }
    }
    let item = list(schema, "items").first().and_then(|item| item.get("schema"));
    for (at, inner) in answer.as_array().into_iter().flatten().enumerate() {
        misfit(&format!("{name}[{at}]"), item.unwrap(), inner, wrong);
    }
}

/// Every question that is asked, as `network.web_port.port_number`, without those inside of lists.
pub(crate) fn leaves(file: &Value) -> Vec<String> {
    fn walk(above: &str, questions: &[Value], found: &mut Vec<String>) {
        for question in questions {
            let name = format!("{above}{}", words(question, "variable").unwrap());
            match list(question.get("schema").unwrap(), "attrs") {
                [] => found.push(name),
                inner => walk(&format!("{name}."), inner, found),
            }
        }
    }
    let mut found = Vec::new();
    walk("", list(file, "questions"), &mut found);
    found
}
