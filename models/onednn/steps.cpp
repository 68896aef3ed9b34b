#include "models/onednn/steps.h"

#include <cstring>

namespace einet::onednn {
namespace {

using dnnl::algorithm;
using dnnl::memory;
using dnnl::prop_kind;
using Dims = memory::dims;

constexpr auto kF32 = memory::data_type::f32;

memory::desc layout_of(Shape s) {
  if (s.is_vector()) return {Dims{1, s.channels}, kF32, memory::format_tag::nc};
  return {Dims{1, s.channels, s.height, s.width}, kF32, memory::format_tag::nhwc};
}

dnnl::primitive_attr attributes(const dnnl::post_ops& after = {}) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_post_ops(after);
  return attributes;
}

class StepMaker {
 public:
  StepMaker(const dnnl::engine& engine, const Program& program, const Weights& weights)
      : engine_(engine), stream_(engine), program_(program), weights_(weights) {}

  Step make(const Operation& op) {
    return std::visit([&](const auto& action) { return make(action, op); }, op.action);
  }

 private:
  Shape shape(Register r) const { return program_.shape(r); }
  memory::desc layout(Register r) const { return layout_of(shape(r)); }

  // A primitive from `input` to `output`, with what every kind needs.
  template <class Primitive>
  PrimitiveStep bind(const typename Primitive::primitive_desc& description, const Operation& op) const {
    PrimitiveStep step;
    step.primitive = Primitive(description);
    step.arguments = {{DNNL_ARG_SRC, op.inputs[0], layout(op.inputs[0])},
                      {DNNL_ARG_DST, op.output, layout(op.output)}};
    step.scratchpad = description.scratchpad_desc();
    return step;
  }

  // Copies a tensor into the layout that a primitive chose.
  memory pack(const std::string& tensor, const memory::desc& plain, const memory::desc& chosen) {
    const std::vector<float>& values = weights_.at(tensor).values;
    memory packed(chosen, engine_);
    if (plain == chosen) {
      std::memcpy(packed.get_data_handle(), values.data(), values.size() * sizeof(float));
    } else {
      memory from(plain, engine_);
      std::memcpy(from.get_data_handle(), values.data(), values.size() * sizeof(float));
      dnnl::reorder(from, packed).execute(stream_, from, packed);
      stream_.wait();
    }
    return packed;
  }

  Step make(const Convolution& c, const Operation& op) {
    const Shape x = shape(op.inputs[0]);
    dnnl::post_ops after;
    if (op.inputs.size() == 2) after.append_binary(algorithm::binary_add, layout(op.inputs[1]));
    if (c.relu) after.append_eltwise(algorithm::eltwise_relu, 0, 0);

    const Window& w = c.window;
    Dims weight_dims{c.channels, x.channels / c.groups, w.kernel_h, w.kernel_w};
    if (c.groups > 1) {
      weight_dims = {c.groups, c.channels / c.groups, x.channels / c.groups, w.kernel_h, w.kernel_w};
    }
    const memory::desc bias(Dims{c.channels}, kF32, memory::format_tag::x);
    const dnnl::convolution_forward::primitive_desc description(
        engine_, prop_kind::forward_inference, algorithm::convolution_direct, layout(op.inputs[0]),
        memory::desc(weight_dims, kF32, memory::format_tag::any), bias, layout(op.output),
        Dims{w.stride_h, w.stride_w}, Dims{w.padding_h, w.padding_w}, Dims{w.padding_h, w.padding_w},
        attributes(after));

    PrimitiveStep step = bind<dnnl::convolution_forward>(description, op);
    const memory::desc plain(weight_dims, kF32,
                             c.groups > 1 ? memory::format_tag::goihw : memory::format_tag::oihw);
    step.constants = {{DNNL_ARG_WEIGHTS, pack(c.weight, plain, description.weights_desc())},
                      {DNNL_ARG_BIAS, pack(c.bias, bias, bias)}};
    if (op.inputs.size() == 2) {
      step.arguments.push_back(
          {DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, op.inputs[1], layout(op.inputs[1])});
    }
    return step;
  }

  Step make(const Linear& l, const Operation& op) {
    dnnl::post_ops after;
    if (l.relu) after.append_eltwise(algorithm::eltwise_relu, 0, 0);
    const Dims weight_dims{l.size, shape(op.inputs[0]).channels};
    const memory::desc bias(Dims{l.size}, kF32, memory::format_tag::x);
    const dnnl::inner_product_forward::primitive_desc description(
        engine_, prop_kind::forward_inference, layout(op.inputs[0]),
        memory::desc(weight_dims, kF32, memory::format_tag::any), bias, layout(op.output), attributes(after));
    PrimitiveStep step = bind<dnnl::inner_product_forward>(description, op);
    const memory::desc plain(weight_dims, kF32, memory::format_tag::oi);
    step.constants = {{DNNL_ARG_WEIGHTS, pack(l.weight, plain, description.weights_desc())},
                      {DNNL_ARG_BIAS, pack(l.bias, bias, bias)}};
    return step;
  }

  Step make_pooling(algorithm kind, const Window& w, const Operation& op, const memory::desc& output) const {
    const dnnl::pooling_forward::primitive_desc description(
        engine_, prop_kind::forward_inference, kind, layout(op.inputs[0]), output,
        Dims{w.stride_h, w.stride_w}, Dims{w.kernel_h, w.kernel_w}, Dims{0, 0},
        Dims{w.padding_h, w.padding_w}, Dims{w.padding_h, w.padding_w}, attributes());
    PrimitiveStep step = bind<dnnl::pooling_forward>(description, op);
    step.arguments[1].layout = output;
    return step;
  }

  Step make(const MaxPool& p, const Operation& op) const {
    return make_pooling(algorithm::pooling_max, p.window, op, layout(op.output));
  }
  Step make(const AveragePool& p, const Operation& op) const {
    return make_pooling(algorithm::pooling_avg_include_padding, p.window, op, layout(op.output));
  }
  // An average over one window as large as the map.
  Step make(const GlobalMean&, const Operation& op) const {
    const Shape x = shape(op.inputs[0]);
    return make_pooling(algorithm::pooling_avg_include_padding, {x.height, x.width, 1, 1, 0, 0}, op,
                        layout_of({x.channels, 1, 1}));
  }

  Step make(const LocalResponseNorm& n, const Operation& op) const {
    const dnnl::lrn_forward::primitive_desc description(
        engine_, prop_kind::forward_inference, algorithm::lrn_across_channels, layout(op.inputs[0]),
        layout(op.output), n.size, n.alpha, n.beta, n.k, attributes());
    return bind<dnnl::lrn_forward>(description, op);
  }

  Step make(const Addition& a, const Operation& op) const {
    dnnl::post_ops after;
    if (a.relu) after.append_eltwise(algorithm::eltwise_relu, 0, 0);
    const dnnl::binary::primitive_desc description(engine_, algorithm::binary_add, layout(op.inputs[0]),
                                                   layout(op.inputs[1]), layout(op.output),
                                                   attributes(after));
    PrimitiveStep step = bind<dnnl::binary>(description, op);
    step.arguments.push_back({DNNL_ARG_SRC_1, op.inputs[1], layout(op.inputs[1])});
    return step;
  }

  Step make(const Relu&, const Operation& op) const {
    const dnnl::eltwise_forward::primitive_desc description(engine_, prop_kind::forward_inference,
                                                            algorithm::eltwise_relu, layout(op.inputs[0]),
                                                            layout(op.output), 0.F, 0.F, attributes());
    return bind<dnnl::eltwise_forward>(description, op);
  }

  Step make(const Concatenation&, const Operation& op) const {
    ConcatenationStep step;
    for (const Register r : op.inputs)
      step.inputs.push_back({r, static_cast<std::size_t>(shape(r).channels)});
    step.output = op.output;
    step.pixels = static_cast<std::size_t>(shape(op.output).pixels());
    return step;
  }

  Step make(const Flatten&, const Operation& op) const {
    const Shape x = shape(op.inputs[0]);
    return FlattenStep{op.inputs[0], op.output, static_cast<std::size_t>(x.channels),
                       static_cast<std::size_t>(x.pixels())};
  }

  Step make(const Softmax&, const Operation& op) const {
    return SoftmaxStep{op.inputs[0], op.output, static_cast<std::size_t>(shape(op.output).channels)};
  }

  const dnnl::engine& engine_;
  dnnl::stream stream_;
  const Program& program_;
  const Weights& weights_;
};

}  // namespace

std::vector<Step> make_steps(const dnnl::engine& engine, const Program& program,
                             const std::vector<Operation>& part, const Weights& weights) {
  StepMaker maker(engine, program, weights);
  std::vector<Step> steps;
  for (const Operation& op : part) steps.push_back(maker.make(op));
  return steps;
}

}  // namespace einet::onednn
