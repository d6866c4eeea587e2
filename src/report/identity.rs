//! Which pod and image this is, as far as the environment says.
//!
//! A Pod spec passes the names with the downward API, under names of its own choice; these are the usual ones. The image
//! is not in the downward API, so builds set a variable. docs/cli.md lists them.

/// The names that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PodIdentity {
    /// `namespace/name`, or the name alone.
    pub(crate) pod: Option<String>,
    pub(crate) image: Option<String>,
}

impl PodIdentity {
    /// As the environment of this process says.
    pub(crate) fn of_environment() -> PodIdentity {
        PodIdentity::of(|name| std::env::var(name).ok())
    }

    /// `variable`: the value of an environment variable. An empty one counts as unset.
    fn of(variable: impl Fn(&str) -> Option<String>) -> PodIdentity {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let first = |names: &[&str]| names.iter().find_map(|name| set(name));
        let attributes = set("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let attribute = |key: &str| {
            let pairs = attributes.split(',').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().to_owned())
        };
        // The kubelet makes the pod's name the container's hostname.
        let hostname = || set("KUBERNETES_SERVICE_HOST").and_then(|_| set("HOSTNAME"));
        let pod = first(&["POD_NAME", "MY_POD_NAME", "K8S_POD_NAME"]).or_else(|| attribute("k8s.pod.name"));
        let pod = pod.or_else(hostname);
        let namespace = first(&["POD_NAMESPACE", "MY_POD_NAMESPACE", "K8S_NAMESPACE"]);
        let namespace = namespace.or_else(|| attribute("k8s.namespace.name"));
        let pod = pod.map(|pod| namespace.map_or(pod.clone(), |namespace| format!("{namespace}/{pod}")));
        let tag = attribute("container.image.tags").or_else(|| attribute("container.image.tag"));
        let named =
            attribute("container.image.name").map(|name| tag.map_or(name.clone(), |tag| format!("{name}:{tag}")));
        PodIdentity { pod, image: first(&["BOOKEND_IMAGE", "CONTAINER_IMAGE"]).or(named) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(set: &[(&str, &str)]) -> (Option<String>, Option<String>) {
        let find = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let PodIdentity { pod, image } = PodIdentity::of(find);
        (pod, image)
    }

    #[test]
    fn pod_and_image_come_from_the_usual_variables() {
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(identity(&[]), (None, None));
        assert_eq!(identity(&[("HOSTNAME", "laptop")]), (None, None), "not in Kubernetes");
        assert_eq!(identity(&[("HOSTNAME", "web-1"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")]), (name("web-1"), None));
        let both = [("POD_NAME", "web-1"), ("POD_NAMESPACE", "shop"), ("BOOKEND_IMAGE", "web:7"), ("HOSTNAME", "x")];
        assert_eq!(identity(&both), (name("shop/web-1"), name("web:7")));
        let attributes = "k8s.pod.name=web-1, k8s.namespace.name=shop,container.image.name=web,container.image.tags=7";
        assert_eq!(identity(&[("OTEL_RESOURCE_ATTRIBUTES", attributes)]), (name("shop/web-1"), name("web:7")));
    }
}
