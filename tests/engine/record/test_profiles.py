"""Profiles by label and by structure."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import ContentError
from measurewise.engine.record.profiles import PROFILES, Matching, ProfileTable, read_profiles

Q = "http://hl7.org/fhir/us/qicore/StructureDefinition/qicore-"
U = "http://hl7.org/fhir/us/core/StructureDefinition/"
F = "http://hl7.org/fhir/StructureDefinition/"
LOINC, SCT = "http://loinc.org", "http://snomed.info/sct"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
CONDITION_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"


def concept(system, code):
    return {"coding": [{"system": system, "code": code}]}


def observation(code="0-0", *categories, **rest):
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": concept(LOINC, code),
        "valueQuantity": {"value": 7, "unit": "1"},
        **({"category": [concept(OBSERVATION_CATEGORY, c) for c in categories]} if categories else {}),
        **rest,
    }


def condition(*categories):
    return {
        "resourceType": "Condition",
        "code": concept(SCT, "44054006"),
        **({"category": [concept(s, c) for s, c in categories]} if categories else {}),
    }


def labelled(resource, *urls):
    return {**resource, "meta": {"profile": list(urls)}}


def meets(url, resource):
    return PROFILES.matches_by_structure(url, resource)


class TestFixedCodes:
    @pytest.mark.parametrize(
        ("profile", "code"),
        [
            ("us-core-blood-pressure", "85354-9"),
            ("us-core-bmi", "39156-5"),
            ("us-core-body-height", "8302-2"),
            ("us-core-body-weight", "29463-7"),
            ("us-core-body-temperature", "8310-5"),
            ("us-core-heart-rate", "8867-4"),
            ("us-core-respiratory-rate", "9279-1"),
            ("us-core-head-circumference", "9843-4"),
            ("us-core-pulse-oximetry", "59408-5"),
            ("us-core-pulse-oximetry", "2708-6"),
            ("pediatric-bmi-for-age", "59576-9"),
            ("pediatric-weight-for-height", "77606-2"),
            ("head-occipital-frontal-circumference-percentile", "8289-1"),
        ],
    )
    def test_a_vital_sign_is_known_by_its_code_unless_its_category_says_otherwise(self, profile, code):
        assert meets(U + profile, observation(code, "vital-signs"))
        assert meets(U + profile, observation(code))
        assert not meets(U + profile, observation("718-7", "vital-signs"))
        assert not meets(U + profile, observation(code, "procedure"))

    def test_the_code_counts_only_in_its_own_system(self):
        other = observation("85354-9", "vital-signs")
        other["code"]["coding"][0]["system"] = "http://example.org"
        assert not meets(U + "us-core-blood-pressure", other)

    def test_any_coding_of_the_code_may_be_the_fixed_one(self):
        twice = observation("x", "vital-signs")
        twice["code"] = {
            "coding": [{"system": SCT, "code": "75367002"}, {"system": LOINC, "code": "85354-9"}]
        }
        assert meets(U + "us-core-blood-pressure", twice)
        assert meets(F + "bp", twice)

    def test_vital_signs_in_general_are_known_by_category_or_by_the_codes_of_the_guide(self):
        for url in (F + "vitalsigns", U + "us-core-vital-signs"):
            assert meets(url, observation("8478-0", "vital-signs"))
            assert meets(url, observation("8867-4"))
            assert not meets(url, observation("718-7"))

    def test_a_vital_sign_has_a_value_or_parts_or_the_reason_why_not(self):
        cancelled = {
            k: v for k, v in observation("39156-5", status="cancelled").items() if k != "valueQuantity"
        }
        assert not meets(U + "us-core-bmi", cancelled)
        assert meets(U + "us-core-bmi", {**cancelled, "dataAbsentReason": {"text": "refused"}})
        assert meets(U + "us-core-blood-pressure", observation("85354-9", component=[{}]))

    def test_social_history_is_known_by_its_code(self):
        assert meets(U + "us-core-smokingstatus", observation("72166-2"))
        assert not meets(U + "us-core-smokingstatus", observation("11341-5"))


class TestCategories:
    def test_a_laboratory_result_is_known_by_its_category(self):
        lab = Q + "observation-lab"
        assert meets(lab, observation("718-7", "laboratory"))
        assert not meets(lab, observation("718-7", "survey"))
        assert not meets(lab, observation("718-7", "vital-signs"))

    def test_a_result_without_a_category_of_its_code_system_is_let_in(self):
        assert meets(Q + "observation-lab", observation("718-7"))
        foreign = observation("718-7", category=[concept("http://example.org/department", "chem")])
        assert meets(Q + "observation-lab", foreign)

    def test_the_diagnostic_results_that_systems_file_differently_pass_as_laboratory(self):
        assert meets(Q + "observation-lab", observation("24701-5", "imaging"))

    def test_a_survey_is_a_screening_and_not_a_clinical_result(self):
        survey = observation("44261-6", "survey")
        assert meets(Q + "observation-screening-assessment", survey)
        assert meets(Q + "simple-observation", survey)
        assert not meets(Q + "observation-clinical-result", survey)

    def test_one_right_category_among_others_is_enough(self):
        both = observation("39156-5", "survey", "vital-signs")
        assert meets(U + "us-core-bmi", both)

    def test_conditions_are_told_apart_by_category(self):
        diagnosis = condition((CONDITION_CATEGORY, "encounter-diagnosis"))
        problem = condition((CONDITION_CATEGORY, "problem-list-item"))
        concern = condition(("http://hl7.org/fhir/us/core/CodeSystem/condition-category", "health-concern"))
        for problems in (
            Q + "condition-problems-health-concerns",
            U + "us-core-condition-problems-health-concerns",
        ):
            assert meets(problems, problem)
            assert meets(problems, concern)
            assert not meets(problems, diagnosis)
        for diagnoses in (Q + "condition-encounter-diagnosis", U + "us-core-condition-encounter-diagnosis"):
            assert meets(diagnoses, diagnosis)
            assert not meets(diagnoses, problem)

    @pytest.mark.parametrize(
        "vague",
        [
            condition(),
            condition(("http://terminology.hl7.org/CodeSystem/condition-clinical", "active")),
            {**condition(), "category": [{"text": "Problem"}]},
        ],
    )
    def test_a_condition_whose_category_says_nothing_is_both(self, vague):
        assert meets(Q + "condition-problems-health-concerns", vague)
        assert meets(Q + "condition-encounter-diagnosis", vague)

    def test_a_condition_filed_as_both_is_both(self):
        both = condition(
            (CONDITION_CATEGORY, "encounter-diagnosis"), (CONDITION_CATEGORY, "problem-list-item")
        )
        assert meets(Q + "condition-problems-health-concerns", both)
        assert meets(Q + "condition-encounter-diagnosis", both)


class TestNegation:
    @pytest.mark.parametrize(
        ("resource_type", "positive", "negative", "done", "not_done"),
        [
            ("Procedure", "procedure", "procedurenotdone", {"status": "completed"}, {"status": "not-done"}),
            (
                "Immunization",
                "immunization",
                "immunizationnotdone",
                {"status": "completed"},
                {"status": "not-done"},
            ),
            (
                "Communication",
                "communication",
                "communicationnotdone",
                {"status": "completed"},
                {"status": "not-done"},
            ),
            (
                "MedicationAdministration",
                "medicationadministration",
                "medicationadministrationnotdone",
                {"status": "completed"},
                {"status": "not-done"},
            ),
            (
                "MedicationDispense",
                "medicationdispense",
                "medicationdispensedeclined",
                {"status": "completed"},
                {"status": "declined"},
            ),
            (
                "MedicationRequest",
                "medicationrequest",
                "medicationnotrequested",
                {"status": "active", "doNotPerform": False},
                {"status": "completed", "doNotPerform": True},
            ),
            (
                "ServiceRequest",
                "servicerequest",
                "servicenotrequested",
                {"status": "active"},
                {"status": "completed", "doNotPerform": True},
            ),
            ("Task", "task", "taskrejected", {"status": "completed"}, {"status": "rejected"}),
            (
                "Observation",
                "simple-observation",
                "observationcancelled",
                {"status": "final"},
                {"status": "cancelled"},
            ),
            (
                "DeviceRequest",
                "devicerequest",
                "devicenotrequested",
                {
                    "modifierExtension": [
                        {
                            "url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-DeviceRequest.doNotPerform",
                            "valueBoolean": False,
                        }
                    ]
                },
                {
                    "modifierExtension": [
                        {
                            "url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-DeviceRequest.doNotPerform",
                            "valueBoolean": True,
                        }
                    ]
                },
            ),
        ],
    )
    def test_a_statement_is_either_positive_or_negative(
        self, resource_type, positive, negative, done, not_done
    ):
        made, unmade = {"resourceType": resource_type, **done}, {"resourceType": resource_type, **not_done}
        assert meets(Q + positive, made)
        assert not meets(Q + positive, unmade)
        assert meets(Q + negative, unmade)
        assert not meets(Q + negative, made)

    def test_the_names_of_the_older_guide_mean_the_same(self):
        refused = {"resourceType": "MedicationRequest", "doNotPerform": True}
        assert meets(Q + "mednotrequested", refused)
        assert meets(Q + "observationnotdone", observation(status="cancelled"))

    def test_the_not_done_modifier_negates_an_observation_of_any_status(self):
        modifier = [{"url": Q + "notDone", "valueBoolean": True}]
        assert meets(Q + "observationcancelled", observation(modifierExtension=modifier))
        assert not meets(Q + "simple-observation", observation(modifierExtension=modifier))

    def test_an_observation_of_a_device_is_not_of_a_patient(self):
        assert meets(Q + "nonpatient-observation", observation(subject={"reference": "Location/icu"}))
        absolute = {"reference": "https://server/fhir/Device/7/_history/2"}
        assert meets(Q + "nonpatient-observation", observation(subject=absolute))
        assert not meets(Q + "nonpatient-observation", observation(subject={"reference": "Patient/1"}))
        assert not meets(Q + "nonpatient-observation", observation())


class TestTypes:
    def test_a_profile_is_never_met_by_a_resource_of_another_type(self):
        for url in PROFILES.urls():
            assert not meets(url, {"resourceType": "Basic"}), url

    def test_a_base_definition_asks_for_the_type_only(self):
        assert meets(F + "Condition", condition())
        assert not meets(F + "Condition", observation())
        assert meets(F + "Resource", observation())
        assert PROFILES.predicate(F + "Condition", Matching.LABEL)(condition())

    def test_an_unknown_profile_matches_anything_of_the_retrieved_type_with_one_notice(self):
        table = ProfileTable([])
        for _ in range(2):
            assert table.structural_predicate("http://example.org/mine|1.0")(condition())
        assert len(table.notices) == 1
        assert "http://example.org/mine" in table.notices[0]


class TestLabels:
    def test_a_label_may_carry_a_version(self):
        resource = labelled(condition(), Q + "condition-encounter-diagnosis|6.0.0")
        assert PROFILES.declares(Q + "condition-encounter-diagnosis", resource)
        assert PROFILES.declares(Q + "condition-encounter-diagnosis|5.0.0", resource)

    def test_a_label_declares_the_profiles_that_its_own_derives_from(self):
        resource = labelled(observation(), Q + "observation-lab")
        assert PROFILES.declares(U + "us-core-observation-lab", resource)
        assert PROFILES.declares(U + "us-core-observation-clinical-result", resource)
        assert not PROFILES.declares(Q + "observation-clinical-result", resource)

    def test_a_label_does_not_declare_what_derives_from_its_profile(self):
        resource = labelled(observation("85354-9"), U + "us-core-vital-signs")
        assert not PROFILES.declares(U + "us-core-blood-pressure", resource)

    @pytest.mark.parametrize(
        "meta",
        [None, {}, {"profile": None}, {"profile": []}],
    )
    def test_a_resource_without_labels_declares_nothing(self, meta):
        resource = {**condition(), "meta": meta}
        assert not PROFILES.declares(Q + "condition-encounter-diagnosis", resource)


class TestShapes:
    """What has not the shape of FHIR is refused, not passed over: the record is then mended."""

    @pytest.mark.parametrize(
        "meta",
        ["text", 5, [{}], {"profile": [None]}, {"profile": [5]}, {"profile": [{}]}, {"profile": {"a": 1}}],
    )
    def test_labels(self, meta):
        with pytest.raises((TypeError, AttributeError)):
            PROFILES.declares(Q + "condition-encounter-diagnosis", {**condition(), "meta": meta})

    @pytest.mark.parametrize(
        "category", ["problem", 5, [[]], {"coding": {"code": "x"}}, [{"coding": [None]}]]
    )
    def test_categories(self, category):
        with pytest.raises((TypeError, AttributeError)):
            meets(Q + "condition-encounter-diagnosis", {**condition(), "category": category})


class TestMatching:
    problems, diagnoses = Q + "condition-problems-health-concerns", Q + "condition-encounter-diagnosis"

    def test_by_label_the_content_does_not_count(self):
        test = PROFILES.predicate(self.problems, Matching.LABEL)
        assert test(labelled(condition((CONDITION_CATEGORY, "encounter-diagnosis")), self.problems))
        assert not test(condition((CONDITION_CATEGORY, "problem-list-item")))

    def test_by_structure_the_label_does_not_count(self):
        test = PROFILES.predicate(self.problems, Matching.STRUCTURE)
        assert not test(labelled(condition((CONDITION_CATEGORY, "encounter-diagnosis")), self.problems))
        assert test(labelled(condition(), self.diagnoses))

    def test_by_default_a_label_of_the_same_guide_decides(self):
        test = PROFILES.predicate(self.problems)
        assert test(labelled(condition((CONDITION_CATEGORY, "encounter-diagnosis")), self.problems))
        assert not test(labelled(condition((CONDITION_CATEGORY, "problem-list-item")), self.diagnoses))
        assert not test(labelled(condition(), Q + "condition"))

    def test_by_default_content_decides_where_no_label_can_tell(self):
        test = PROFILES.predicate(self.problems)
        problem = condition((CONDITION_CATEGORY, "problem-list-item"))
        diagnosis = condition((CONDITION_CATEGORY, "encounter-diagnosis"))
        for stated in ((), ("http://example.org/misspelt",), (Q + "patient",)):
            assert test(labelled(problem, *stated))
            assert not test(labelled(diagnosis, *stated))

    def test_the_label_of_a_more_general_guide_does_not_deny_a_more_special_profile(self):
        test = PROFILES.predicate(self.diagnoses)
        diagnosis = condition((CONDITION_CATEGORY, "encounter-diagnosis"))
        assert test(labelled(diagnosis, U + "us-core-condition-encounter-diagnosis"))
        assert PROFILES.predicate(U + "us-core-blood-pressure")(
            labelled(observation("85354-9", "vital-signs"), F + "bp")
        )

    @given(st.sampled_from(PROFILES.urls()), st.sampled_from(["final", "cancelled", "completed", "not-done"]))
    def test_a_resource_that_is_labelled_with_a_profile_meets_it_by_label_and_by_default(self, url, status):
        profile = PROFILES.get(url)
        assert profile is not None
        resource = labelled({"resourceType": profile.resource_type, "status": status}, url)
        assert PROFILES.predicate(url, Matching.LABEL)(resource)
        assert PROFILES.predicate(url)(resource)


class TestTable:
    def test_every_profile_names_its_source_and_its_base_is_known_or_absent(self):
        for url in PROFILES.urls():
            profile = PROFILES.get(url)
            assert profile is not None
            assert profile.source.startswith("https://hl7.org/fhir/"), url
            assert profile.base is None or PROFILES.get(profile.base) is not None, url

    @pytest.mark.parametrize(
        "data", [b"{", b"{}", b'{"guides": {}, "profiles": [{"url": "u"}]}', b'{"guides": 1, "profiles": []}']
    )
    def test_a_table_of_another_form_is_an_error(self, data):
        with pytest.raises(ContentError, match=r"profiles\.json"):
            read_profiles(data)

    def test_a_rule_of_no_known_form_is_an_error(self):
        entry = {"url": "u", "type": "Task", "guides": ["g"], "source": "s", "requires": [{"odd": 1}]}
        table = ProfileTable(
            read_profiles(json.dumps({"guides": {"g": {"rank": 0}}, "profiles": [entry]}).encode())
        )
        with pytest.raises(ContentError, match="no known form"):
            table.structural_predicate("u")

    def test_profiles_that_derive_from_each_other_are_an_error(self):
        entries = [
            {"url": a, "type": "Task", "base": b, "guides": ["g"], "source": "s"}
            for a, b in (("a", "b"), ("b", "a"))
        ]
        data = json.dumps({"guides": {"g": {"rank": 0}}, "profiles": entries}).encode()
        with pytest.raises(ContentError, match="circle"):
            ProfileTable(read_profiles(data))
