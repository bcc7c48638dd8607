//! Settings of one device (config-and-groups 5.6): a document like the others, so that what keeps those
//! keeps this one too, but never sent anywhere.

use crate::data::Value;
use crate::document::EditError;
use crate::fields::view;
use crate::kind::Kind;

view! {
    /// The device's settings, by names that whoever uses them chooses.
    Local of device: Kind::Local
}

impl Local {
    /// A setting that is text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.data().text(name).map(std::borrow::Cow::into_owned)
    }

    /// A setting that is a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.data().int(name)
    }

    /// A setting that is yes or no; no if it was never made.
    pub fn flag(&self, name: &str) -> bool {
        self.number(name).is_some_and(|number| number != 0)
    }

    /// Makes a setting, or takes it back.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn set(&mut self, name: &str, value: Option<Value>) -> Result<bool, EditError> {
        self.put(&[name.as_bytes()], value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PushError;
    use conclave_proto::Timestamp;

    #[test]
    fn settings_of_a_device_are_kept_and_never_pushed() {
        let mut local = Local::new();
        assert!(local.set("theme", Some("dark".into())).unwrap());
        local.set("sound", Some(1.into())).unwrap();
        assert!(local.needs_dump() && !local.needs_push());
        assert_eq!(local.push(Timestamp(1)), Err(PushError::Local));
        let local = Local::load(&local.dump()).unwrap();
        assert_eq!(local.text("theme").as_deref(), Some("dark"));
        assert!(local.flag("sound") && !local.flag("other"));
    }
}
